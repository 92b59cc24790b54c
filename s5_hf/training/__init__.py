"""The parts of a training run: views, data order, optimizer, schedules, checkpoints, validation, recipes."""
