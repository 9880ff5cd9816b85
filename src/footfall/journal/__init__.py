"""The journal: what makes an event durable and puts everything into one order."""
