"""From a volume to an image: what capture, convert and update share."""
