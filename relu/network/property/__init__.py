"""Properties of networks, as networks: boxes of inputs and conditions on outputs."""
