"""Reading a screen recording: every settled screen with its texts and elements, and every action, without any model in the cloud."""
