"""JSON on the wire: its rules, limits, decoders and sentences, shared by all that read or write it.

JSON values pass through as the texts that were given. Here they are checked, cut out of what stands
around them, and, for those who ask, turned into protobuf's ``Struct`` and ``Value``. So is what all
portions mean by a host.
"""
