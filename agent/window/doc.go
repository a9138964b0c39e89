// Package window decides when the app may be disturbed: at which times of the
// week ([Windows]), how often ([Budget]), and how far apart the instances of a
// fleet do so ([Instance]).
//
// All of it is pure: it knows no clock, waits for nothing and keeps nothing.
// It answers with times, and the caller sets the timer. No window outweighs
// the end of a credential (see [Windows.By]); a budget does.
package window
