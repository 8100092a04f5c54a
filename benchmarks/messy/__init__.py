"""How well messy CSV files are read without a hint: files hurt on purpose, real ones, and a scoreboard."""
