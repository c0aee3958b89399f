"""Mixed-integer programs that decide a network exactly."""
