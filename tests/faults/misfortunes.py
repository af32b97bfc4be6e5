"""What can happen to one attempt: nothing, the death of its process, or a failure at the destination."""

from __future__ import annotations

from hypothesis import strategies as st

from loyalty_relay.model.errors import (
    ConnectionFailed,
    CredentialsRefused,
    RateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from tests.faults.world import Misfortune

deaths = st.builds(Misfortune, dies_at=st.just(0) | st.integers(1, 9), after=st.booleans())
failures = st.builds(
    lambda make, after: Misfortune(after=after, error=make()),
    st.sampled_from(
        [
            lambda: UpstreamTimeout(reached=True),
            lambda: UpstreamUnavailable(reached=True),
        ]
    ),
    st.booleans(),
) | st.builds(
    lambda make: Misfortune(error=make()),
    st.sampled_from([ConnectionFailed, CredentialsRefused, lambda: RateLimited(retry_after=30.0)]),
)
misfortunes = st.just(Misfortune()) | deaths | deaths | failures
