package sink

// Path returns where the new content lies until it is published: beside its
// destination, or at the destination if that holds it already. That of a
// [Group] is a folder. It is "" for what is to be written over a file, and lies
// nowhere before.
func (s *Staged) Path() string {
	switch {
	case s.temp != "":
		return s.temp
	case s.over != nil:
		return ""
	default:
		return s.target
	}
}

// Destination returns the path that the content is for, as the user wrote it.
func (s *Staged) Destination() string { return s.path }
