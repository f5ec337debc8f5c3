"""Programs that a script hands to torch_tensorrt: recorded with their settings, read again.

`folder`, `toml_text`, `found` and `process` need no torch and are what commands, the session
and the UI use. The others run in the process of the script, beside torch.
"""
