"""The chips: their numbers, their integer arithmetic, their memories."""
