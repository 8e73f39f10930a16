"""What the authors' pages of the admin show beside their fields: phases with their activities, what can be picked, and what is wrong where."""
