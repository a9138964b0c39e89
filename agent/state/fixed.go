package state

// Fixed is a journal that holds what it held from the start: what one part of a
// process hands on to another.
type Fixed []Record

// Records returns what is handed on.
func (f Fixed) Records() []Record { return f }

// Append keeps nothing.
func (Fixed) Append(...Record) error { return nil }
