"""Training: its configuration (`config`), the run (`fit`) and the files it writes (`run_directory`).

Called as `unet_core.train(config, run_dir)`, it is `unet_core.train.fit.train`.
"""
