"""What a score could become: later, with more known, or with more done."""
