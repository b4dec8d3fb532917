"""Running plates: the job, a step of it, many plates side by side, their logs and failures."""
