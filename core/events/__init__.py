"""Facts as they happen: to a file, to a screen, to whoever waits for one."""
