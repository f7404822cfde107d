raise RuntimeError("no licence on this machine")
