package mssqlstandin

import (
	"context"
	"strings"
)

type createLogin struct {
	name    string
	options options
}

func (p *parser) createLogin() (statement, error) {
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	if err := p.expect("WITH"); err != nil {
		return nil, err
	}
	if !strings.EqualFold(p.words[0].text, "PASSWORD") {
		return nil, p.near()
	}
	given, err := p.options("PASSWORD", "CHECK_POLICY", "CHECK_EXPIRATION", "DEFAULT_DATABASE")
	return createLogin{name, given}, err
}

func (c createLogin) run(ctx context.Context, in *execution) error {
	if err := in.inMaster(); err != nil {
		return err
	}
	if in.session.server.azure && in.statements > 1 {
		return refuse(40530, "The CREATE LOGIN statement must be the only statement in the batch.")
	}
	return in.change(ctx, func(to *catalog) error {
		switch {
		case !in.session.serverAllows(to, "ALTER ANY LOGIN"):
			return refuse(15247, "User does not have permission to perform this action.")
		case to.logins[key(c.name)] != nil:
			return refuse(15025, "The server principal '%s' already exists.", c.name)
		case len([]rune(c.name)) > 128:
			return refuse(103, "The identifier that starts with '%s' is too long. Maximum length is 128.", c.name[:128])
		}
		if strings.EqualFold(c.options["CHECK_POLICY"], "OFF") {
			if strings.EqualFold(c.options["CHECK_EXPIRATION"], "ON") {
				return refuse(15122, "The CHECK_EXPIRATION option cannot be used when CHECK_POLICY is OFF.")
			}
		} else if err := checkPolicy(c.name, c.options["PASSWORD"]); err != nil {
			return err
		}
		added := &account{name: c.name, password: c.options["PASSWORD"], sid: newSID(), defaultDatabase: "master"}
		if name := c.options["DEFAULT_DATABASE"]; name != "" {
			added.defaultDatabase = name
		}
		to.logins[key(c.name)] = added
		return nil
	})
}

// checkPolicy is Windows's: eight characters, of three kinds, without the name.
func checkPolicy(name, password string) error {
	if len([]rune(password)) < 8 {
		return refuse(15116, "Password validation failed. The password does not meet the operating system policy requirements because it is too short.")
	}
	kinds := 0
	for _, characters := range []string{"abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"} {
		if strings.ContainsAny(password, characters) {
			kinds++
		}
	}
	if strings.ContainsFunc(password, func(char rune) bool { return !isWord(char) || strings.ContainsRune("_@#$", char) }) {
		kinds++
	}
	if kinds < 3 || strings.Contains(strings.ToLower(password), strings.ToLower(name)) {
		return refuse(15118, "Password validation failed. The password does not meet the operating system policy requirements because it is not complex enough.")
	}
	return nil
}

type alterLogin struct {
	name    string
	enable  bool
	options options // nil: ENABLE or DISABLE
}

func (p *parser) alterLogin() (statement, error) {
	name, err := p.name()
	switch {
	case err != nil:
		return nil, err
	case p.accept("ENABLE"):
		return alterLogin{name, true, nil}, nil
	case p.accept("DISABLE"):
		return alterLogin{name, false, nil}, nil
	}
	if err := p.expect("WITH"); err != nil {
		return nil, err
	}
	given, err := p.options("PASSWORD", "OLD_PASSWORD", "CHECK_POLICY")
	return alterLogin{name, false, given}, err
}

func (a alterLogin) run(ctx context.Context, in *execution) error {
	if err := in.inMaster(); err != nil {
		return err
	}
	return in.change(ctx, func(to *catalog) error {
		found := to.logins[key(a.name)]
		missing := refuse(15151, "Cannot alter the login '%s', because it does not exist or you do not have permission.", a.name)
		if found == nil {
			return missing
		}
		own := found.sid == in.session.sid && a.options["OLD_PASSWORD"] == found.password
		if !in.session.serverAllows(to, "ALTER ANY LOGIN") && !own || found.sysadmin && !in.session.account(to).sysadmin {
			return missing
		}
		if a.options == nil {
			found.disabled = !a.enable
			return nil
		}
		if !strings.EqualFold(a.options["CHECK_POLICY"], "OFF") {
			if err := checkPolicy(a.name, a.options["PASSWORD"]); err != nil {
				return err
			}
		}
		found.password = a.options["PASSWORD"]
		return nil
	})
}

type dropLogin struct{ name string }

// dropLogin knows no IF EXISTS, as SQL Server does not.
func (p *parser) dropLogin() (statement, error) {
	name, err := p.name()
	return dropLogin{name}, err
}

func (d dropLogin) run(ctx context.Context, in *execution) error {
	if err := in.inMaster(); err != nil {
		return err
	}
	return in.change(ctx, func(to *catalog) error {
		found := to.logins[key(d.name)]
		if found == nil || found.sysadmin || !in.session.serverAllows(to, "ALTER ANY LOGIN") {
			return refuse(15151, "Cannot drop the login '%s', because it does not exist or you do not have permission.", d.name)
		}
		if in.session.server.loggedIn(found.sid) {
			return refuse(15434, "Could not drop login '%s' as the user is currently logged in.", d.name)
		}
		for _, database := range to.databases {
			if database.owner == found.sid {
				return refuse(15174, "Login '%s' owns one or more database(s). Change the owner of the database(s) before dropping the login.", d.name)
			}
		}
		delete(to.logins, key(d.name))
		return nil
	})
}
