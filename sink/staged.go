package sink

// Path returns where the new content lies until it is published: beside its
// destination, or at the destination if that holds it already. That of a
// [Group] is a folder.
func (s *Staged) Path() string {
	if s.temp != "" {
		return s.temp
	}
	return s.target
}

// Destination returns the path that the content is for, as the user wrote it.
func (s *Staged) Destination() string { return s.path }
