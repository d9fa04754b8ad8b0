"""The kinds of test that a claim can make: one file and one line here each.

A new kind is a file with a subclass of `Kind` (kind.py says what it can override), imported below.
"""

from functools import reduce
from operator import or_
from typing import Annotated

from pydantic import Field

from normbench.claims.kinds.better import Better as Better
from normbench.claims.kinds.constant import Constant as Constant
from normbench.claims.kinds.correlated import Correlated as Correlated
from normbench.claims.kinds.equal import Equal as Equal
from normbench.claims.kinds.figure import Figure as Figure
from normbench.claims.kinds.growth import Growth as Growth
from normbench.claims.kinds.kind import Kind
from normbench.claims.kinds.monotone import Monotone as Monotone
from normbench.claims.kinds.not_worse import NotWorse as NotWorse
from normbench.claims.kinds.reproduces import Reproduces as Reproduces
from normbench.claims.kinds.trainable import Trainable as Trainable
from normbench.claims.kinds.untrainable import Untrainable as Untrainable
from normbench.claims.kinds.within import Within as Within

KINDS = tuple(one for one in list(vars().values()) if isinstance(one, type) and issubclass(one, Kind) and one is not Kind)
Test = Annotated[reduce(or_, KINDS), Field(discriminator="test")]
