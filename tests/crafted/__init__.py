"""Conversations crafted with scapy, packet by packet with exact times, and what each must be read as."""
