"""OpenAPI 3.2 of the REST interface, from the descriptors that it is served by.

``document`` puts it together; ``operations`` describes what a route takes and answers, ``refusals``
what it may be refused with, ``schemas`` the messages, ``bounds`` what the rules of a field allow.
"""
