"""An example task: how sharp and how bright each sampled frame is."""
