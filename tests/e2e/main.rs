//! What Aorta promises, tested on the real programs over sockets.
