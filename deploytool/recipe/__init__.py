"""The recipe: what the user wants, one TOML file, every key known and every value checked.

`Recipe.section` gives the part that decides a stage, from which the stage's key is made: changing one section re-runs
that stage and what follows. A section is a class in the file of its name.
"""

from deploytool.recipe.augment import AugmentSection as AugmentSection
from deploytool.recipe.constraints import UNQUANTISED as UNQUANTISED
from deploytool.recipe.constraints import ConstraintsSection as ConstraintsSection
from deploytool.recipe.data import DataSection as DataSection
from deploytool.recipe.load import asked as asked
from deploytool.recipe.load import load_network as load_network
from deploytool.recipe.load import load_recipe as load_recipe
from deploytool.recipe.load import parse_recipe as parse_recipe
from deploytool.recipe.network import AddLayer as AddLayer
from deploytool.recipe.network import BatchNormLayer as BatchNormLayer
from deploytool.recipe.network import ConvLayer as ConvLayer
from deploytool.recipe.network import FlattenLayer as FlattenLayer
from deploytool.recipe.network import LayerSection as LayerSection
from deploytool.recipe.network import LinearLayer as LinearLayer
from deploytool.recipe.network import NetworkSection as NetworkSection
from deploytool.recipe.network import PoolLayer as PoolLayer
from deploytool.recipe.network import SpikeLayer as SpikeLayer
from deploytool.recipe.recipe import Recipe as Recipe
from deploytool.recipe.recipe import Rule as Rule
from deploytool.recipe.stages import DvsSection as DvsSection
from deploytool.recipe.stages import MapSection as MapSection
from deploytool.recipe.stages import ReadoutSection as ReadoutSection
from deploytool.recipe.stages import ReportSection as ReportSection
from deploytool.recipe.stages import RunSection as RunSection
from deploytool.recipe.stages import ValidateSection as ValidateSection
from deploytool.recipe.task import TaskSection as TaskSection
from deploytool.recipe.train import BaseSection as BaseSection
from deploytool.recipe.train import TrainSection as TrainSection
