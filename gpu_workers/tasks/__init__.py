"""The six analyses: each module loads one kind of model and turns frames or audio into results."""
