"""Jobs on engines: scheduled, watched, and told of."""
