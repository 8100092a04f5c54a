"""How each value of the model reads for people. Only words and figures: nothing is looked up or decided here."""
