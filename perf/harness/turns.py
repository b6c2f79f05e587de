"""Whose turn it is: what is measured, in an order of its own each round."""
import random
import sys
import time


def order(measurements, number):
    """Shuffled, the same way whenever it is run, so that no measurement always follows the same other one. What is compared
    with each other stays together, so that the machine's moods meet both."""
    groups = {}
    for measurement in measurements:
        groups.setdefault(measurement.job.group, []).append(measurement)
    chance, groups = random.Random(number), list(groups.values())
    chance.shuffle(groups)
    for group in groups:
        chance.shuffle(group)
    return [measurement for group in groups for measurement in group]


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
