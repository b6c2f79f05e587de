"""What was aimed at."""
from figures import kib_per_follower, named, ratios, server_cpu_us_per_response
from harness.aims import Aim, verdict

deliveries_per_second = named("deliveries_per_second")


def of(job, figure):
    return lambda samples: [figure(figures) for figures in samples.of(job, "this")]


def to_alone(job, figure):
    return lambda samples: ratios(samples, (job, "this"), ("alone", "this"), named(figure))


def to_nchan(job, figure):
    return lambda samples: ratios(samples, (job, "this"), (job, "nchan"), figure)


def never_falls(jobs):
    """From each rate to the next one, how the deliveries a second change: the worst of a round."""
    def worst(samples):
        found = []
        for number in samples.rounds:
            rates = [deliveries_per_second(figures) for job in jobs if (figures := samples.get(job, "this", number))]
            if len(rates) > 1:
                found.append(min(after / before for before, after in zip(rates, rates[1:])))
        return found
    return worst


def all_receive(samples):
    return [float(figures["is_complete"]) for figures in samples.of("many", "this")]


def aims(by_rate):
    """`by_rate` names the jobs of polls in the order of their rates."""
    return [
        Aim("waiting polls: server CPU us for an answer and the poll that follows it", 11, of("polls", server_cpu_us_per_response), at_most=True),
        Aim("waiting polls: KiB for each", 8, of("polls", kib_per_follower), at_most=True),
        Aim("waiting polls: p50 of an update to that without followers", 1.5, to_alone("polls", "update_p50_ms"), at_most=True),
        Aim("streams: p50 of an update to that without followers", 1.5, to_alone("streams", "update_p50_ms"), at_most=True),
        Aim("waiting polls: deliveries a second to those of nchan", 1, to_nchan("polls", deliveries_per_second)),
        Aim("streams: deliveries a second to those of nchan", 1, to_nchan("streams", deliveries_per_second)),
        Aim("past saturation: deliveries a second from one rate to the next", 0.95, never_falls(by_rate)),
        Aim("many waiting polls: all receive everything", 1, all_receive),
    ]


def verdicts(samples, by_rate):
    return [verdict(aim, samples) for aim in aims(by_rate)]
