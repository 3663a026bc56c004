"""Who else works on the store, as of the last look."""

from inferry.server.store.shared import Survey


class Company:
    """The replicas that live. One that has its store alone leads."""

    def __init__(self) -> None:
        #: Whether it is this one that ends what ran out of time: it is the oldest.
        self.leads = True
        #: Whether others were there when it came to that: then somebody could report all the time.
        self.succeeds = False
        self._led = False

    def look(self, survey: Survey, number: int) -> None:
        """Takes a look of the replica with this number."""
        living = [one.number for one in survey.replicas if not one.over]
        self.leads = number == min(living, default=number)
        if self.leads and not self._led:
            self._led, self.succeeds = True, living != [number]
