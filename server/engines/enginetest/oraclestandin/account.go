package oraclestandin

import (
	"regexp"
	"strconv"
)

// attributes are what CREATE USER and ALTER USER say of a user.
type attributes struct {
	password string
	locked   *bool // nil: not said
}

// attributes reads them up to the end of the statement.
func (p *parser) attributes() (read attributes) {
	for p.err == nil && len(p.tokens) > 0 {
		switch {
		case p.words("IDENTIFIED", "BY"):
			read.password = p.name(988, "missing or invalid password(s)")
		case p.words("ACCOUNT", "LOCK"):
			read.locked = new(bool)
			*read.locked = true
		case p.words("ACCOUNT", "UNLOCK"):
			read.locked = new(bool)
		case p.words("DEFAULT", "TABLESPACE"), p.words("TEMPORARY", "TABLESPACE"), p.words("QUOTA", "UNLIMITED", "ON"):
			p.name(2216, "tablespace name expected")
		default:
			p.fail(922, "missing or invalid option")
		}
	}
	return read
}

func (p *parser) createUser() error {
	name := p.name(1935, "missing user or role name")
	read := p.attributes()
	if p.err == nil && read.password == "" {
		p.fail(922, "missing or invalid option")
	}
	if err := p.allowed("CREATE USER"); err != nil {
		return err
	}
	if p.database().principals[name] != nil {
		return refuse(1920, "user name '%s' conflicts with another user or role name", name)
	}
	p.database().addUser(name, read.password).locked = read.locked != nil && *read.locked
	return nil
}

func (p *parser) createRole() error {
	name := p.name(1937, "missing or invalid role name")
	if err := p.allowed("CREATE ROLE"); err != nil {
		return err
	}
	if p.database().principals[name] != nil {
		return refuse(1921, "role name '%s' conflicts with another user or role name", name)
	}
	p.database().addRole(name)
	return nil
}

// alterUser lets users change their own password without a privilege.
func (p *parser) alterUser() error {
	name := p.name(1935, "missing user or role name")
	if p.err == nil && len(p.tokens) == 0 {
		p.fail(922, "missing or invalid option")
	}
	read := p.attributes()
	if err := p.end(); err != nil {
		return err
	}
	if own := name == p.session.user && read.locked == nil; !own && !p.database().may(p.session.user, "ALTER USER") {
		return refuse(1031, "insufficient privileges")
	}
	user := p.database().user(name)
	if user == nil {
		return refuse(1918, "user '%s' does not exist", name)
	}
	if read.password != "" {
		user.verifier = newVerifier(read.password)
	}
	if read.locked != nil {
		user.locked = *read.locked
	}
	return nil
}

func (p *parser) dropUser() error {
	name := p.name(1935, "missing user or role name")
	cascade := p.words("CASCADE")
	if err := p.allowed("DROP USER"); err != nil {
		return err
	}
	d := p.database()
	switch {
	case d.user(name) == nil:
		return refuse(1918, "user '%s' does not exist", name)
	case d.connected(name):
		return refuse(1940, "cannot drop a user that is currently connected")
	case !cascade && d.owns(name):
		return refuse(1922, "CASCADE must be specified to drop '%s'", name)
	}
	d.drop(name)
	return nil
}

// sessionID is the operand of KILL SESSION: sid, serial number, instance.
var sessionID = regexp.MustCompile(`^\s*(\d+)\s*,\s*(\d+)\s*(?:,\s*@(\d+)\s*)?$`)

// alterSystem kills or disconnects a session.
func (p *parser) alterSystem() error {
	disconnect := p.words("DISCONNECT", "SESSION")
	if !disconnect {
		p.need(2065, "illegal option for ALTER SYSTEM", "KILL", "SESSION")
	}
	match := sessionID.FindStringSubmatch(p.literal(26, "missing or invalid session ID"))
	if match == nil {
		p.fail(26, "missing or invalid session ID")
	}
	if !p.words("IMMEDIATE") && disconnect {
		p.fail(2000, "missing IMMEDIATE keyword")
	}
	if err := p.allowed("ALTER SYSTEM"); err != nil {
		return err
	}
	sid, _ := strconv.Atoi(match[1])
	target := p.database().sessions[sid]
	switch {
	case target == p.session:
		return refuse(27, "cannot kill current session")
	case target == nil || target.id() != match[1]+","+match[2] || match[3] != "" && match[3] != "1":
		return refuse(30, "User session ID does not exist.")
	}
	p.database().kill(target, disconnect)
	return nil
}
