package oraclestandin

import (
	"slices"
	"strings"
)

// giving is what GRANT and REVOKE have in common.
type giving struct {
	privileges []string
	object     string // empty: system privileges and roles
	to         []string
	again      bool // WITH ADMIN OPTION, WITH GRANT OPTION
}

// giving reads a statement up to its end; preposition is TO or FROM.
func (p *parser) giving(preposition string) (read giving) {
	for more := true; more; more = p.symbol(",") {
		read.privileges = append(read.privileges, p.privilege())
	}
	if p.words("ON") {
		if p.isWord("V$SESSION") || p.isWord("GV$SESSION") {
			p.fail(2030, "can only select from fixed tables/views")
		}
		read.object = p.object()
	}
	p.need(905, "missing keyword", preposition)
	for more := true; more; more = p.symbol(",") {
		read.to = append(read.to, p.name(987, "missing or invalid username(s)"))
	}
	option := "ADMIN"
	if read.object != "" {
		option = "GRANT"
	}
	read.again = preposition == "TO" && p.words("WITH", option, "OPTION")
	return read
}

// privilege reads one: a known privilege of any number of words, or a role.
func (p *parser) privilege() string {
	for _, known := range slices.Concat(systemPrivileges, objectPrivileges) {
		if p.words(strings.Fields(known)...) {
			return known
		}
	}
	if p.words("ALL", "PRIVILEGES") || p.words("ALL") {
		return "ALL"
	}
	return p.name(990, "missing or invalid privilege")
}

func (p *parser) grant() error {
	read := p.giving("TO")
	if err := p.end(); err != nil {
		return err
	}
	if err := p.check(read); err != nil {
		return err
	}
	for _, name := range read.to {
		grantee := p.database().principals[name]
		for _, privilege := range read.privileges {
			switch {
			case read.object != "":
				grantee.hold(read.object, privilege, read.again)
			case slices.Contains(systemPrivileges, privilege):
				grantee.system[privilege] = read.again
			default:
				grantee.roles[privilege] = read.again
			}
		}
	}
	return nil
}

func (g *principal) hold(object, privilege string, again bool) {
	if g.objects[object] == nil {
		g.objects[object] = map[string]bool{}
	}
	for _, each := range objectPrivileges {
		if privilege == "ALL" || privilege == each {
			g.objects[object][each] = again
		}
	}
}

// check looks whether all that is given exists, and may be given by the user.
func (p *parser) check(read giving) error {
	d := p.database()
	for _, privilege := range read.privileges {
		if err := p.checkPrivilege(privilege, read.object); err != nil {
			return err
		}
	}
	for _, name := range read.to {
		if d.principals[name] == nil {
			return refuse(1917, "user or role '%s' does not exist", name)
		}
	}
	return nil
}

func (p *parser) checkPrivilege(privilege, object string) error {
	d, user := p.database(), p.session.user
	switch {
	case object != "":
		return p.checkObject(privilege, object)
	case slices.Contains(systemPrivileges, privilege):
		if !d.may(user, "GRANT ANY PRIVILEGE") && !d.mayPass(user, func(h *principal) bool { return h.system[privilege] }) {
			return refuse(1031, "insufficient privileges")
		}
	case d.principals[privilege] == nil || !d.principals[privilege].role:
		return refuse(1919, "role '%s' does not exist", privilege)
	case !d.may(user, "GRANT ANY ROLE") && !d.mayPass(user, func(h *principal) bool { return h.roles[privilege] }):
		return refuse(1932, "ADMIN option not granted for role '%s'", privilege)
	}
	return nil
}

func (p *parser) checkObject(privilege, object string) error {
	d, user := p.database(), p.session.user
	owner, _, _ := strings.Cut(object, ".")
	switch {
	case d.tables[object] == nil || !d.mayOn(user, object, "") && !d.may(user, "GRANT ANY OBJECT PRIVILEGE"):
		return refuse(942, "table or view does not exist")
	case privilege != "ALL" && !slices.Contains(objectPrivileges, privilege):
		return refuse(990, "missing or invalid privilege")
	case owner == user || d.may(user, "GRANT ANY OBJECT PRIVILEGE"):
		return nil
	}
	for _, each := range objectPrivileges {
		if (privilege == "ALL" || privilege == each) && d.mayPass(user, func(h *principal) bool { return h.objects[object][each] }) {
			return nil
		}
	}
	return refuse(1031, "insufficient privileges")
}

// mayPass tells whether one of the holders of a user's privileges may grant on.
func (d *database) mayPass(user string, again func(*principal) bool) bool {
	return slices.ContainsFunc(d.holders(user), again)
}

func (p *parser) revoke() error {
	read := p.giving("FROM")
	if err := p.end(); err != nil {
		return err
	}
	if err := p.check(read); err != nil {
		return err
	}
	for _, name := range read.to {
		for _, privilege := range read.privileges {
			if err := p.database().principals[name].lose(privilege, read.object); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *principal) lose(privilege, object string) error {
	switch {
	case object != "":
		if len(g.objects[object]) == 0 {
			return refuse(1927, "cannot REVOKE privileges you did not grant")
		}
		for _, each := range objectPrivileges {
			if privilege == "ALL" || privilege == each {
				delete(g.objects[object], each)
			}
		}
	case slices.Contains(systemPrivileges, privilege):
		if _, held := g.system[privilege]; !held {
			return refuse(1952, "system privileges not granted to '%s'", g.name)
		}
		delete(g.system, privilege)
	default:
		if _, held := g.roles[privilege]; !held {
			return refuse(1951, "ROLE '%s' not granted to '%s'", privilege, g.name)
		}
		delete(g.roles, privilege)
	}
	return nil
}
