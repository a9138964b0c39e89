package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"
)

// Capabilities is a set of things a token may do on a path.
type Capabilities uint16

// The capabilities a policy can name. Deny takes every other one away.
const (
	Create Capabilities = 1 << iota
	Read
	Update
	Patch
	Delete
	List
	Sudo
	Deny
)

// capabilityNames lists the names in the order in which they are shown.
var capabilityNames = [...]struct {
	name string
	bit  Capabilities
}{
	{"create", Create}, {"delete", Delete}, {"list", List}, {"patch", Patch},
	{"read", Read}, {"sudo", Sudo}, {"update", Update}, {"deny", Deny},
}

// shorthand is the older `policy = "…"` form: word → capabilities
func shorthand(word string) (Capabilities, error) {
	const read = Read | List
	const write = read | Create | Update | Patch | Delete
	switch word {
	case "deny":
		return Deny, nil
	case "read":
		return read, nil
	case "write":
		return write, nil
	case "sudo":
		return write | Sudo, nil
	}
	return 0, fmt.Errorf("unknown policy %q: use deny, read, write or sudo, or better a list of capabilities", word)
}

func parseCapability(name string) (Capabilities, error) {
	for _, c := range capabilityNames {
		if c.name == name {
			return c.bit, nil
		}
	}
	return 0, fmt.Errorf("unknown capability %q: use create, read, update, patch, delete, list, sudo or deny", name)
}

// Has reports whether every capability of want is granted.
func (c Capabilities) Has(want Capabilities) bool {
	return c&Deny == 0 && c&want == want
}

// Names returns the sorted names of c; an empty or denied set is "deny".
func (c Capabilities) Names() []string {
	if c == 0 || c&Deny != 0 {
		return []string{"deny"}
	}
	var names []string
	for _, known := range capabilityNames {
		if c&known.bit != 0 {
			names = append(names, known.name)
		}
	}
	slices.Sort(names)
	return names
}

// String implements fmt.Stringer.
func (c Capabilities) String() string { return strings.Join(c.Names(), ",") }

// For returns the capability that op asks for; zero for operations that any
// valid token may do.
func For(op logical.Operation) Capabilities {
	switch op {
	case logical.CreateOperation:
		return Create
	case logical.ReadOperation:
		return Read
	case logical.UpdateOperation:
		return Update
	case logical.PatchOperation:
		return Patch
	case logical.DeleteOperation:
		return Delete
	case logical.ListOperation:
		return List
	case logical.HelpOperation:
		return 0
	}
	return Deny
}
