package mssqlstandin

import "fmt"

const (
	loginHead          = 94   // bytes of a LOGIN7 before its texts
	integratedSecurity = 0x80 // of OptionFlags2: Windows authentication
	tds74              = 0x74000004
	tds80              = 0x08000000
)

// login is what a LOGIN7 says, as far as we care: MS-TDS 2.2.6.4.
type login struct {
	version    uint32
	integrated bool
	host       string
	username   string
	password   string
	program    string
	database   string
}

// decodeLogin reads a LOGIN7.
func decodeLogin(body []byte) (login, error) {
	if len(body) < loginHead {
		return login{}, fmt.Errorf("a LOGIN7 of %d bytes", len(body))
	}
	fields := cursor{rest: body}
	if length := fields.uint32(); int(length) != len(body) {
		return login{}, fmt.Errorf("a LOGIN7 that says it has %d bytes, and has %d", length, len(body))
	}
	decoded := login{version: fields.uint32()}
	if decoded.version != tds74 && decoded.version != tds80 {
		return login{}, fmt.Errorf("a LOGIN7 for the TDS version %#x", decoded.version)
	}
	decoded.integrated = body[25]&integratedSecurity != 0
	// Where the offset and the length of a text are; MS-TDS lists them all.
	for at, text := range map[int]*string{36: &decoded.host, 40: &decoded.username, 48: &decoded.program, 68: &decoded.database} {
		*text = decodeText(&fields, part(&fields, body, at))
	}
	decoded.password = decodeText(&fields, revealed(part(&fields, body, 44)))
	if fields.err != nil {
		return login{}, fmt.Errorf("reading LOGIN7: %w", fields.err)
	}
	return decoded, nil
}

// part returns the text whose offset and length, in characters, stand at a place.
func part(fields *cursor, body []byte, at int) []byte {
	place := cursor{rest: body[at:]}
	offset, length := int(place.uint16()), 2*int(place.uint16())
	if offset+length > len(body) {
		fields.fail("the text at %d lies beyond it", at)
		return nil
	}
	return body[offset : offset+length]
}

// revealed undoes what LOGIN7 does to a password: every byte is XORed with 0xA5
// after its halves were swapped.
func revealed(obscured []byte) []byte {
	plain := make([]byte, len(obscured))
	for i, char := range obscured {
		char ^= 0xA5
		plain[i] = char<<4 | char>>4
	}
	return plain
}

// authenticate checks the password of a login, or of a contained user, and
// returns the session it gets.
func (s *Server) authenticate(given login) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	failed := refusal{18456, 1, 14, fmt.Sprintf("Login failed for user '%s'.", given.username)}
	if given.integrated {
		return nil, refusal{18452, 1, 14, "Login failed. The login is from an untrusted domain and cannot be used with Integrated authentication."}
	}
	session := &session{server: s, login: given.username, program: given.program, host: given.host}
	if home := s.committed.databases[key(given.database)]; home != nil {
		user := home.principals[key(given.username)]
		if user != nil && user.authentication == byDatabase {
			if user.password != given.password {
				return nil, failed
			}
			session.contained, session.database, session.home = home.name, home.name, home.name
			return session, nil
		}
	}
	account := s.committed.logins[key(given.username)]
	switch {
	case account == nil || account.password != given.password:
		return nil, failed
	case account.locked:
		return nil, refusal{18486, 1, 14, fmt.Sprintf("Login failed for user '%s' because the account is currently locked out. The system administrator can unlock it.", given.username)}
	case account.disabled:
		return nil, refusal{18470, 1, 14, fmt.Sprintf("Login failed for user '%s'. Reason: The account is disabled.", given.username)}
	}
	session.sid = account.sid
	name := given.database
	if name == "" {
		name = account.defaultDatabase
	}
	home := s.committed.databases[key(name)]
	if home == nil || session.userIn(s.committed, home) == nil {
		return nil, refusal{4060, 1, 11, fmt.Sprintf("Cannot open database %q requested by the login. The login failed.", name)}
	}
	session.database, session.home = home.name, home.name
	return session, nil
}
