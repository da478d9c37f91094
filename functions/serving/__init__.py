"""What the model functions share: packages, sessions, and the one path of an event."""
