"""What a lock holds, in the forms that other tools read and enforce."""
