/**
 * Whether an extended attribute of a file is a part of an image: `user.*`, and `security.capability`, as Docker and
 * containerd record them. All others belong to the host that wrote them: labels of its security modules, access lists
 * by its user ids, and overlayfs's own notes, of which trusted.overlay.redirect would even lead it astray.
 */
export function belongsToImage(name: string): boolean {
  return name === "security.capability" || (name.startsWith("user.") && !name.startsWith("user.overlay."));
}
