"""Training: what is trained (`config`), the run (`fit`) and what it leaves behind (`run_directory`).

Called as `unet_core.train(config, run_dir)`, it is `unet_core.train.fit.train`.
"""
