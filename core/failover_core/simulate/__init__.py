"""The same engine in a simulated world: hours of traffic through incidents, beside the policies of others.

    from failover_core.simulate import Incident, Scenario, figures, run

    brown_out = Scenario("brown-out", incidents=(Incident(100, 400, errors=0.3, slowdown=3.0),))
    print(figures([run(brown_out, seed=seed) for seed in (1, 2, 3)]))

Requests come as in recorded traffic, providers answer as measured ones did (`fits`), incidents are data (`faults`).
`compare` runs many scenarios, policies and seeds; `failover simulate` does so on the command line.
"""

from .compare import Comparison, compare
from .faults import Incident
from .figures import Figures, figures
from .promises import Finding
from .run import KIT, POLICIES, Record, Run, run
from .scenarios import SCENARIOS, Scenario, from_dict, named
from .traffic import Traffic
from .world import Profile

__all__ = [
    "KIT",
    "POLICIES",
    "SCENARIOS",
    "Comparison",
    "Figures",
    "Finding",
    "Incident",
    "Profile",
    "Record",
    "Run",
    "Scenario",
    "Traffic",
    "compare",
    "figures",
    "from_dict",
    "named",
    "run",
]
