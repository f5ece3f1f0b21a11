"""Where and why two runs of one sample part, from everything that flowed through both."""
