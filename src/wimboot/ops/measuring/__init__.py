"""What systems, the disks they lie in and the WIMs behind them take."""
