"""The use cases: enroll a photo, analyse a photo. They know nothing of HTTP."""
