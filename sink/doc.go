// Package sink puts bytes into files, whole or not at all.
//
// It owns what happens between "these are the bytes" and "every reader sees
// them, and still would after a power cut". A [File] describes a destination.
// [File.Stage] writes the bytes beside it, under a temporary name, with mode
// and owner set before the first byte; [Publish] switches any number of staged
// files by renaming. At each moment a reader finds the old content or the new
// one. When anything fails the old content is still there and the temporary
// file is not.
//
// What it promises beyond that:
//
//   - Content that is there already is not written again, and does not count as
//     a change; its mode and owner are put right in place if they differ.
//   - A file is for its owner alone (0600) unless a mode is given. Without one,
//     a file that exists keeps its mode, and without an owner or a group it
//     keeps those, as far as the system lets us.
//   - A destination that is a symbolic link stays one: the file that it points
//     to is replaced, in its own folder. The link of another user in a folder
//     that everybody may write to is refused.
//   - Folders made for a destination have mode 0755, less the umask: the reader
//     is often another user than the agent, and must be able to pass. The file's
//     mode is what protects the secret.
//   - With Backup the file that is replaced remains as NAME.bak.
//
// What a killed run leaves behind is named so that [Sweep] knows it.
//
// Where one file is not the answer:
//
//   - With InPlace a file that is mounted by itself is written over, with what
//     that costs: see inplace.go.
//   - A [Group] is a folder whose files switch all at once, and back. It stages
//     like a file, and is published with others.
//   - [EnvFile] makes a file for systemd or a shell from variables, [Environ] the
//     environment of a program, such as package exec below this one runs.
//   - [Credentials] serves systemd's LoadCredential= over a socket.
//
// Start reading at [File.Stage].
package sink
