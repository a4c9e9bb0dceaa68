"""The live tape: one socket per venue and channel, however many listen.

hub.py         what the rest of the house uses: listen, hold, fill, and the parts below
readings.py    questions to what the tape holds: net flow, recent prints, state of a feed
feed.py        one socket kept open: subscribe, ping, silence, reconnect
tape.py        the prints of one venue: each once, kept for a while, handed to listeners
cover.py       since when, without a gap, each coin has been listened to
board.py       listeners found by coin and threshold; a bounded queue for each
liquidations.py  the liquidations of one venue: each once, for 25 hours, and what was covered
rates.py       funding rates as they change, per listener
"""
