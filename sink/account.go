package sink

// Account returns the ids of a user and a group, each given by name or by id;
// -1, which chown(2) takes for "leave as it is", for an empty one.
func Account(user, group string) (uid, gid int, err error) {
	found, err := File{Owner: user, Group: group}.ids()
	return found.uid, found.gid, err
}
