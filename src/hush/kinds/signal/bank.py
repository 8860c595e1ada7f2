# NOTE FROM THE LEAD: task D (the ECG bank) is being written on main as src/hush/noise/bank.py.
# Delete this file and skip task D entirely; finish A-C and the measurements, then report.
