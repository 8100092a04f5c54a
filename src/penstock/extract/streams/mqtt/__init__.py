"""MQTT: messages of a session that the broker keeps, acknowledged once they are on the disk, and read from there."""
