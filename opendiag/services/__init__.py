"""Sans-I/O machines of the CANopen services, for both ends of the wire."""
