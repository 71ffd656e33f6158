"""Training: what is trained (`config`), the run (`fit`) and what it leaves behind (`run_directory`)."""
