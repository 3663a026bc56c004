"""A ``grpc.aio`` channel to the servicers of the same process."""
