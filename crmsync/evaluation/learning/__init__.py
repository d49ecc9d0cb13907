"""Learning: points for the rules of a card out of what came of people, tested on a later period."""
